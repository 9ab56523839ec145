"""How a Command resource starts a program of the package twinplane, on whatever machine the stack is looked after."""


def interpreter(name: str) -> list[str]:
    """Returns the input of that name for a program that twinplane/run knows.

    Pulumi starts it in the project's folder, a destroy by the words in the state.
    """
    return ["sh", "twinplane/run", name]
