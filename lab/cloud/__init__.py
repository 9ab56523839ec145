"""The lab's AWS: moto in process, made real on this machine. endpoint/ is a request's way in."""

import os

from lab.constants import ACCOUNT

# moto reads these while it is imported. No images but ours; what AWS refuses is refused.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
os.environ["MOTO_ENABLE_AMI_VALIDATION"] = "true"
os.environ["MOTO_ENABLE_KEYPAIR_VALIDATION"] = "true"
os.environ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"] = "true"
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
# One account: moto would look for each caller in every partition, and fill each with AWS's policies first.
os.environ["MOTO_ACCOUNT_ID"] = ACCOUNT
# The policies that AWS keeps, such as AmazonEKSClusterPolicy: roles attach them.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
