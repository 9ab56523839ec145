"""Who calls: tokens of clusters, tokens of OpenID Connect issuers."""
