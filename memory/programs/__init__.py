"""Programs compared by what they compute: a canonical form, marks of it, and similarity.

`canonical` renames (`naming`, `scopes`) and sorts the statements of a program (`ordering`) as far
as what they read and write allows (`effects`, `hazards`); `fingerprint` makes hashes of that form,
and `structure` measures how much of their data flow two programs share. `tracing` finds what of a
program its answer is made of.
"""

from move37.memory.programs.fingerprint import fingerprint, new_numbers, outline
from move37.memory.programs.structure import nearest_code, similarity

__all__ = ["fingerprint", "nearest_code", "new_numbers", "outline", "similarity"]
