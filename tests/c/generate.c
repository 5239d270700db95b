/* Writing with a cache from C: a stack of encoder layers on one position at a time puts out what one call on all of them does,
 * and says where in the stack a cache does not fit. */
#include <math.h>
#include "check.h"

enum { LAYERS = 2, HEADS = 2, WIDTH = 8, ROOM = 6 };

static neap_value whole(int64_t i) { return (neap_value){.kind = NEAP_INT, .i = i}; }
static neap_value flag(int on) { return (neap_value){.kind = NEAP_FLAG, .i = on}; }
static neap_value tensor(neap_tensor *t) { return (neap_value){.kind = NEAP_TENSOR, .t = t}; }

/* src mask src_key_padding_mask is_causal cache cached */
static neap_tensor *call(neap_module *m, neap_tensor *x, neap_tensor *cache, int64_t cached) {
  neap_value none = {.kind = NEAP_NONE}, args[] = {tensor(x), none, none, flag(1), cache ? tensor(cache) : none, whole(cached)};
  neap_tensor *y = NULL;
  return neap_module_call(m, 6, args, &y) == 1 ? y : NULL;
}

int main(void) {
  test_case("generate: a cache makes position by position the same as all at once");
  neap_context *c = neap_open(NULL);
  neap_value number = {.kind = NEAP_NUMBER, .d = 0}, standard = {.kind = NEAP_NONE};
  neap_value settings[] = {whole(WIDTH), whole(HEADS), whole(LAYERS), whole(12), number, standard, standard, flag(1), flag(1), flag(1), flag(1), flag(1)};
  neap_module *m = neap_module_new(c, neap_layer_find("TransformerEncoder"), 12, settings);
  neap_module_to(m, NEAP_F64);
  neap_grad_mode(c, 0);
  neap_scope *s = neap_scope_open(c);
  neap_tensor *x = neap_randn(c, 3, (const int64_t[]){1, ROOM, WIDTH}, NEAP_F64, NULL);
  neap_tensor *cache = neap_zeros(c, 6, (const int64_t[]){LAYERS, 2, 1, HEADS, ROOM, WIDTH / HEADS}, NEAP_F64);
  neap_tensor *all = call(m, x, NULL, 0);
  check(all != NULL);
  for (int64_t i = 0; i < ROOM && all; i++) {
    double one[WIDTH], want[WIDTH];
    neap_tensor *y = call(m, neap_narrow(c, x, 1, i, 1), cache, i);
    check(y != NULL);
    if (!y) break;
    neap_copy_out(y, NEAP_F64, one);
    neap_copy_out(neap_contiguous(c, neap_narrow(c, all, 1, i, 1)), NEAP_F64, want);
    for (int j = 0; j < WIDTH; j++) check(fabs(one[j] - want[j]) < 1e-13);
  }
  check(neap_error(c) == NEAP_OK);
  check(call(m, neap_narrow(c, x, 1, 0, 1), cache, ROOM) == NULL);
  check_text(c, "MultiheadAttention: cache (2, 1, 2, 6, 4) with 6 positions has no room for those of this call (in layer layers.0.self_attn)");
  neap_scope_close(s);
  neap_module_release(m);
  neap_close(c);
  return check_done();
}
