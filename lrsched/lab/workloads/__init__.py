"""Real workloads for `lrsched.lab.compare`, without a download."""

from lrsched.lab.workloads.catalogue import WORKLOADS as WORKLOADS
from lrsched.lab.workloads.training import Splits as Splits
from lrsched.lab.workloads.training import Task as Task
from lrsched.lab.workloads.training import make_train as make_train
from lrsched.lab.workloads.workload import Workload as Workload
