"""What rules of nftables this machine's kernel takes."""

import subprocess
from functools import cache

#: That of kube-network-policies, by its end.
RULE = "table inet probe { chain postrouting { type filter hook postrouting priority 0; %s; }; }"
QUEUE = "queue num 98 bypass"


@cache
def refuses(rule: str = QUEUE) -> str:
    """Returns why the kernel takes no such rule of nftables; "" where it does. Needs root.

    It is tried, in a network namespace that ends with the try. Of the queue, kernels without CONFIG_NFT_QUEUE say that
    there is no such file or directory.
    """
    argv = ["unshare", "--net", "nft", "--file", "-"]
    try:
        done = subprocess.run(argv, input=RULE % rule, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    told = (done.stderr.strip().splitlines() or ["no words"])[0]
    return told.rpartition("Error: ")[2] if done.returncode else ""
