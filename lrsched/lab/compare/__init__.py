"""How schedules are compared; `lrsched.lab.compare` is the way in."""
