"""Settings -> the stack's builder -> exports."""

import pulumi

from stacks import gone, living, managed, self_managed
from stacks.settings import ManagedSettings, load

settings = load()
gone.check(living.resources())
exports = managed.build(settings) if isinstance(settings, ManagedSettings) else self_managed.build(settings)
for name, value in exports.items():
    pulumi.export(name, value)
