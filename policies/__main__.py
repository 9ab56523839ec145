from pulumi_policy import EnforcementLevel, PolicyPack

from policies.guards import GUARDS

PolicyPack("twinplane", enforcement_level=EnforcementLevel.MANDATORY, policies=list(GUARDS))
