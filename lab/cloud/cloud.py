"""Cloud: the one place where the parts of the lab's AWS get to know each other."""

from __future__ import annotations

from functools import partial

from lab.cloud import api
from lab.cloud.ec2 import routes, volumes
from lab.cloud.ec2.controller import InstanceController, console
from lab.cloud.eks import pod_identity_webhook
from lab.cloud.eks.eks import Eks
from lab.cloud.eks.state import Store
from lab.cloud.elb.controller import BalancerController
from lab.cloud.endpoint.endpoint import Endpoint
from lab.cloud.endpoint.journal import Journal
from lab.cloud.identity import authenticator
from lab.cloud.webhooks import Review
from lab.machines.host import Host


class Cloud:
    """The lab's AWS as the daemon has it. Making it replays the journal; its controllers are started one by one."""

    def __init__(self) -> None:
        self.eks = Eks(Store(api.directory() / "eks.json"))
        self.instances = InstanceController(Host, routes.make, volumes.make, bootstrap=self.eks.bootstrap)
        self.balancers = BalancerController()
        self.endpoint = Endpoint(
            Journal(api.directory() / "journal.jsonl"),
            services={"eks": self.eks, "eks-auth": self.eks},
            observers={"ec2": self.instances.noticed, "elasticloadbalancing": self.balancers.noticed},
            console=partial(console, Host),
        )
        api.endpoint = self.endpoint

    def reviews(self) -> dict[str, Review]:
        """Returns what API servers of clusters ask, by the path of the webhook."""
        return {
            authenticator.WHAT: lambda body, cluster: authenticator.review(body, cluster, self.eks.access_entry),
            pod_identity_webhook.WHAT: self.eks.identify_pod,
        }
