"""How a comparison is made, what it found, and how that is shown and kept; `lrsched.lab.compare` is the way in."""
