"""How a range test is made, what it found, and how that is shown; `lrsched.lab.range_test` is the way in."""
