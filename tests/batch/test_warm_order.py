"""Who gets which job: loaded weights first, everybody's turn in the end."""

from backend.batch.warm_order import WarmOrder
from backend.serve.stored_job import StoredJob
from protocol.job import RefineJob


def _jobs(priors):
    return [
        StoredJob(id=f"{index}", owner="", uploader="", content="", job=RefineJob(prompt="a", prior=prior))
        for index, prior in enumerate(priors)
    ]


def _order(priors, workers=1, patience_s=1e9, seconds=1.0):
    """Priors in the order in which workers, one after the other, get the jobs; each takes some seconds."""
    waiting, order, now, given = _jobs(priors), WarmOrder(patience_s), 0.0, []
    while waiting:
        for worker in range(workers):
            job = order.choose(worker, waiting, now)
            if job is not None:
                waiting.remove(job)
                given.append((worker, job.job.prior))
        now += seconds
    return given


def _loads(given):
    held, loads = {}, 0
    for worker, prior in given:
        loads += held.get(worker) != prior
        held[worker] = prior
    return loads


def test_jobs_that_share_a_prior_run_together():
    assert [prior for _, prior in _order("abcabcabc")] == list("aaabbbccc")


def test_two_workers_load_two_priors_once_each():
    given = _order("ab" * 10, workers=2)
    assert _loads(given) == 2 and len(given) == 20
    assert _loads(_order("a" * 10, workers=2)) == 2, "a prior that all share is loaded by all"


def test_nobody_starves():
    """After its patience a worker takes a turn at the prior that has waited longest."""
    given = [prior for _, prior in _order("a" * 10 + "b" * 10 + "c" * 10, patience_s=3.0)]
    assert given[:12] == list("aaabbbcccaaa")
    assert [prior for _, prior in _order("a" * 10, patience_s=3.0)] == list("a" * 10)


def test_a_new_process_is_cold():
    order = WarmOrder()
    jobs = _jobs("ab")
    order.choose(0, jobs[1:], 0.0)
    assert order.choose(0, jobs, 0.0).job.prior == "b"
    order.forget(0)
    order._served.clear()
    assert order.choose(0, jobs, 0.0).job.prior == "a"
    assert order.choose(0, [], 0.0) is None
