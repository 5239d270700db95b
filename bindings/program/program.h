/* What the files of the program `neap` share. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "neap_lua.h"
#include "state.h"

/* ---- neap.c ---- */
int pg_call(lua_State *L, int n, int results);              /* as lua_pcall; interrupts raise, errors get a stack if they need one */
int pg_report(lua_State *L, int status);                    /* prints and pops the message of an error; returns status */
int pg_run_string(lua_State *L, const char *text, const char *name); /* runs and reports */

/* ---- repl.c ---- */
void pg_repl(lua_State *L);                      /* until the end of the input */

int pg_complete(lua_State *L, const char *text);            /* pushes what surely follows text, and the choices or nil; or an error */

/* ---- edit.c ---- */
enum { PG_LINE, PG_BROKEN, PG_END };                        /* a line; an interrupt; the end of the input */
int pg_read_line(lua_State *L, const char *prompt, const char **text, size_t *n); /* the text is lent until the next one */
void pg_forget_lines(void);

/* ---- interrupt.c ---- */
void pg_watch(nl_state *s);                                 /* whose kernels Ctrl-C stops; NULL: none */
enum { PG_DEFAULT, PG_READ, PG_RUN };                       /* what Ctrl-C does: ends the program, a read of a line, L's work */
int pg_interrupts(int mode, lua_State *L);                  /* returns the mode before */
void pg_coroutines(lua_State *L);                           /* coroutine.resume and wrap that say who runs */

/* ---- blocks.c ---- */
typedef struct pg_blocks pg_blocks;
pg_blocks *pg_blocks_new(void);
void pg_blocks_free(pg_blocks *b);                          /* after lua_close */
void *pg_blocks_alloc(void *blocks, void *p, size_t old, size_t size); /* a lua_Alloc */

#endif
