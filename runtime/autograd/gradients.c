/* Gradients from outside: the mode, what a tensor requires and has gathered, hooks, and a whole backward pass in one
 * call, which is a walk stepped to its end. */
#include "op.h"

int neap_grad_mode(neap_context *c, int on) {
  int was = c->grad_mode;
  c->grad_mode = on != 0;
  return was;
}

int neap_requires_grad(const neap_tensor *t) {
  neap_tensor *own = (neap_tensor *)(uintptr_t)t;
  if (own && own->base) np_view_refresh(own);
  return own && np_needs_grad(own);
}

int neap_is_leaf(const neap_tensor *t) { return t && t->record == NULL; }

int neap_set_requires_grad(neap_tensor *t, int on) {
  if (!t) return NEAP_ERR_ARGUMENT;
  neap_context *c = t->ctx;
  if (np_failed(c)) return c->error;
  if (t->record) {
    if (on) return NEAP_OK;
    return np_fail(c, NEAP_ERR_STATE, "requires_grad: only a leaf can stop to require a gradient: use detach for a tensor with a history");
  }
  if (on && !np_is_float(t->at.dtype))
    return np_fail(c, NEAP_ERR_DTYPE, "requires_grad: only tensors of floats can, this one is %s", np_dtypes[t->at.dtype].info.name);
  t->flags = (uint16_t)(on ? t->flags | NP_REQUIRES_GRAD : t->flags & ~NP_REQUIRES_GRAD);
  return NEAP_OK;
}

neap_tensor *neap_grad_of(neap_tensor *t) { return t && t->flags & NP_HAS_GRAD ? neap_retain(t->grad) : NULL; }

int neap_set_grad(neap_tensor *t, neap_tensor *g) {
  if (!t) return NEAP_ERR_ARGUMENT;
  neap_context *c = t->ctx;
  if (np_failed(c)) return c->error;
  if (!g) {
    np_clear_grad(t);
    return NEAP_OK;
  }
  if (g->ctx != c || !np_same_shape(g, t) || g->at.dtype != t->at.dtype)
    return np_fail(c, NEAP_ERR_SHAPE, "grad: a gradient has its tensor's context, shape and dtype");
  np_hold(g);
  np_drop(t->grad);
  t->grad = g;
  t->flags |= NP_HAS_GRAD;
  return NEAP_OK;
}

int neap_hook(neap_tensor *t, int64_t id) {
  if (!t) return NEAP_ERR_ARGUMENT;
  neap_context *c = t->ctx;
  if (np_failed(c)) return c->error;
  if (t->base && np_view_refresh(t) != 0) return c->error;
  if (!np_needs_grad(t)) return np_fail(c, NEAP_ERR_STATE, "hook: the tensor does not require a gradient");
  if (t->record) t->record->out[t->output].hook = id;
  else t->hook = id;
  return NEAP_OK;
}

int neap_grad(neap_context *c, int n_out, neap_tensor *const *outputs, neap_tensor *const *gradients, int n_in,
              neap_tensor *const *inputs, neap_tensor **grads, int flags) {
  for (int i = 0; i < n_in; i++) grads[i] = NULL;
  neap_walk *w = neap_walk_begin(c, n_out, outputs, gradients, n_in, inputs, flags);
  if (!w) return c->error;
  int more;
  while ((more = neap_walk_step(w)) == 1) {}
  if (more == NEAP_WALK_HOST)
    np_fail(c, NEAP_ERR_STATE, "backward: the graph has a function or a hook of the host's; step through it with neap_walk_step");
  else if (more == 0 && n_in > 0) neap_walk_grads(w, grads);
  neap_walk_end(w);
  return c->error;
}

int neap_backward(neap_tensor *loss) {
  return loss ? neap_grad(loss->ctx, 1, &loss, NULL, 0, NULL, NULL, 0) : NEAP_ERR_ARGUMENT;
}
