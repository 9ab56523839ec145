"""What Pulumi deletes or replaces only when it is told to, beside what it may."""

from __future__ import annotations

import pulumi


def protection_of(type_: str) -> pulumi.ResourceTransform:
    """Protects the resources of a type among the children of a component, whose others may come and go."""

    def protect(args: pulumi.ResourceTransformArgs) -> pulumi.ResourceTransformResult | None:
        if args.type_ != type_:
            return None
        opts = pulumi.ResourceOptions.merge(args.opts, pulumi.ResourceOptions(protect=True))
        return pulumi.ResourceTransformResult(args.props, opts)

    return protect
