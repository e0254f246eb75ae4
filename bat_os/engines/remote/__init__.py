"""The engine that asks a model server over HTTP, and how its replies are checked."""
