"""When a value may be used."""

import pulumi


def ready(value: pulumi.Output[str], *needs: pulumi.CustomResource) -> pulumi.Output[str]:
    """The value, known when the needs are there. Who uses it is made after them, and deleted before them."""
    return pulumi.Output.all(value, *(need.id for need in needs)).apply(lambda known: str(known[0]))
