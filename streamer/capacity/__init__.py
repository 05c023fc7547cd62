"""How much a machine takes, and how many machines a number of participants needs.

    unit_costs   what one participant costs, measured
    plan         those costs times a number of participants, for a configuration (pure)
figures      what a load measured, in lines and a sentence of advice (pure)
live_load    live participants through all stages for a while
"""
