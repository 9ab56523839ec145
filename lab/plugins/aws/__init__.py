"""Stand-in for `pulumi-resource-aws`: tables of resource types, one file for each AWS service, and what serves them.

A new resource type is one entry in its service's table (see lab.plugins.aws.types); everything around it is common:
checks, automatic names, tags, differences, previews, refresh, waiting, tolerance of what is already gone.
"""
