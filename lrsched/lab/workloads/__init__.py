"""Three real workloads for `lrsched.lab.compare`, without a download."""
