"""The lab's AWS: moto in process, made real on this machine. See api.py for the way of a request."""

import os

# moto reads these while it is imported. No images but ours; what AWS refuses is refused.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
os.environ["MOTO_ENABLE_AMI_VALIDATION"] = "true"
os.environ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION"] = "true"
os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
# The policies that AWS keeps, such as AmazonEKSClusterPolicy: roles attach them.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"
