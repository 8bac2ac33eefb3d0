"""How it scales: compiled programs, collectives, layouts, measured and modelled."""
