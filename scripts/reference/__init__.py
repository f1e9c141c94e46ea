"""Reference implementations on transformers 4.57 and PEFT: what templora's numbers are compared with."""
