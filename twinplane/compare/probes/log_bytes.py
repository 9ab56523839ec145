"""How much of a control plane's logs CloudWatch took in."""

from __future__ import annotations

from datetime import date, timedelta

from twinplane.compare.probes.probe import Probe
from twinplane.questions import Call

#: Days whose logs are counted.
DAYS = 7


def probe(cluster: str, end: str) -> Probe[int]:
    """Bytes that CloudWatch charges for, in the DAYS days before `end`, a date
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CloudWatch-Logs-Monitoring-CloudWatch-Metrics.html)."""
    asked = {
        "Namespace": "AWS/Logs",
        "MetricName": "IncomingBytes",
        "Dimensions": [{"Name": "LogGroupName", "Value": f"/aws/eks/{cluster}/cluster"}],
        "StartTime": (date.fromisoformat(end) - timedelta(DAYS)).isoformat(),
        "EndTime": end,
        "Period": 86400,
        "Statistics": ["Sum"],
    }
    call = Call("cloudwatch", "get_metric_statistics", asked)
    return Probe("log_bytes", call, lambda answer: int(sum(each["Sum"] for each in answer["Datapoints"])))
