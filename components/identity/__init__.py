"""Who is who: tokens that IAM trusts, roles of pods, certificates of servers."""
