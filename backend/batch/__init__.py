"""Many jobs overnight: a job file read and planned, run on workers here or on a cluster, nothing done twice."""
