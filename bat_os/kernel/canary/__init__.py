"""The canary: what was done before is done again with a change, before the change counts."""
