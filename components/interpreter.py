"""How a Command resource starts a module of the package twinplane, on whatever machine the stack is looked after."""


def interpreter(module: str) -> list[str]:
    """Returns the input of that name. Pulumi starts it in the project's folder, a destroy by the words in the state."""
    return ["sh", "twinplane/run", module]
