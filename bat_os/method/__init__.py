"""The source of one method: parsed, repaired, audited and adapted; nothing here runs it."""
