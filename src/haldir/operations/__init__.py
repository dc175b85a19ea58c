"""Every public verb, once; what spans domains lives here."""
