"""What scripts/same-numbers runs and compares: configs.json says what, inputs.py makes the models and texts, cases.py
runs, compare.py compares."""
