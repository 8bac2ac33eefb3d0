"""For Spack: put this file into ``packages/py_hepjax/`` of a repository of packages.

At a release the line ``version("0.1.0", ...)`` gets the checksum of the sdist. Not built yet;
not every release of Spack has py-grain, py-orbax-checkpoint and py-tensorflow-datasets of these
versions, so look first with ``spack spec py-hepjax``.
"""

from spack.package import PythonPackage, default_args, depends_on, license, variant, version


class PyHepjax(PythonPackage):
    """Reference deep-learning workloads of high-energy physics, from one JAX code."""

    pypi = "hepjax/hepjax-0.1.0.tar.gz"

    license("Apache-2.0")

    version("0.1.0")

    variant("plot", default=True, description="Reports and pictures")

    depends_on("python@3.11:", type=("build", "run"))
    depends_on("py-hatchling@1.27:", type="build")

    with default_args(type=("build", "run")):
        depends_on("py-jax@0.10.2:")
        depends_on("py-flax@0.12:")
        depends_on("py-optax@0.2.5:")
        depends_on("py-orbax-checkpoint@0.12:")
        depends_on("py-grain@0.2.18:")
        depends_on("py-jraph@0.0.6.dev0:")
        depends_on("py-h5py@3.12:")
        depends_on("py-numpy@2.0:")
        depends_on("py-scipy@1.15:")
        depends_on("py-tensorflow-datasets@4.9.8:")
        depends_on("py-importlib-resources@6.0:")
        depends_on("py-pyarrow@18:")
        depends_on("py-google-crc32c@1.5:")
        depends_on("py-filelock@3.13:")
        depends_on("py-pyyaml@6.0:")
        depends_on("py-rich@13:")
    with default_args(type=("build", "run"), when="+plot"):
        depends_on("py-hist@2.8:")
        depends_on("py-matplotlib@3.9:")
        depends_on("py-mplhep@0.4:")
        depends_on("py-scikit-learn@1.5:")
