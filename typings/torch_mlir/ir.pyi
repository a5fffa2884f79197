# The wheel of the bindings has no stubs: every name is Any, which is what its users treat it as.
from typing import Any

def __getattr__(name: str) -> Any: ...
