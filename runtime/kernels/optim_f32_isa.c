/* optim_f32_isa.c: the update rules for float32; the text is in optim.inl. */
#define T float
#define S f32
#include "optim.inl"
