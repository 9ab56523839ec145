from pulumi_policy import EnforcementLevel, PolicyPack

from policies import config
from policies.guards import GUARDS

config.check([guard.name for guard in GUARDS])
PolicyPack("twinplane", enforcement_level=EnforcementLevel.MANDATORY, policies=list(GUARDS))
