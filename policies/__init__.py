"""The policy pack: guards that hold whatever a stack's config says. `pulumi up --policy-pack policies`."""
