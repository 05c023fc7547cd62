"""How many participants a machine takes.

figures      what a load measured, in lines and a sentence of advice (pure)
live_load    live participants through all stages for a while
"""
