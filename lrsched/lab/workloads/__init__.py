"""Real workloads for `lrsched.lab.compare`, without a download."""

from lrsched.lab.workloads import chars, digits, tabular
from lrsched.lab.workloads.training import Splits as Splits
from lrsched.lab.workloads.training import Workload as Workload

WORKLOADS = {workload.name: workload for workload in (digits.WORKLOAD, chars.WORKLOAD, tabular.WORKLOAD)}
