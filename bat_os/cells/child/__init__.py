"""The child's side of a call: what runs in the confined process, and confines it."""
