"""Geant4 as an engine of showers: electrons and photons in the plates of any calorimeter.

``pool.simulate`` is the entrance. Geant4 is a set of singletons that may abort its process, so it
lives in worker processes alone, one engine in each; the parent never imports it.
"""
