"""Speed, both sides measured in one run; each module is a `python -m fkd bench NAME`."""
