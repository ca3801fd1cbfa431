"""Comparisons of schedules: the parts of `lrsched.lab.compare`."""
