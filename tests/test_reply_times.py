"""How long webhooks wait for their answer, as a histogram."""

from __future__ import annotations

from webhook.pipeline.reply_times import ReplyTimes


def test_each_time_is_counted_up_to_its_bound_and_beyond() -> None:
    times = ReplyTimes()

    for seconds in (0.0004, 0.005, 0.006, 42.0):
        times.observe(seconds)

    found = dict(times.buckets())
    assert (found["0.001"], found["0.0025"], found["0.005"], found["0.01"]) == (1, 1, 2, 3)
    assert (found["10.0"], found["+Inf"]) == (3, 4)
    assert times.seconds == 42.0114
