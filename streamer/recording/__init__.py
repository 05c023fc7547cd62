"""Sessions on disk: recorder, store, export, report, comparison."""
