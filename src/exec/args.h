/* args.h: arguments as bytes: conversion, packing into a record's body, unpacking for the call.
 *
 * A body holds, for each parameter that is not given by a ref, in order: a value, padded to 8; or an array: its element count as
 * uint64, then its elements, padded to 8. */
#ifndef MRAY_EXEC_ARGS_H
#define MRAY_EXEC_ARGS_H

#include <mray/task.h>
#include <stdbool.h>

/* Values larger than this travel as objects of their own. */
enum {
    ARGS_MAX_INLINE = 256,
    ARGS_MAX_BODY = 512, /* and so do those for which no room is left */
};

/* Can an argument be given for a parameter? Sets the error sentence if not (what: the call, i: from 0). */
int args_check(const char *what, int i, const mray_type *param, const mray_arg *arg);
/* Bytes the argument takes in the body. */
uint32_t args_packed_bytes(const mray_type *param, const mray_arg *arg);
/* Convert a number; false when the value does not fit the parameter's type. */
bool args_convert(const mray_type *param, const mray_arg *arg, void *out);
/* Can the result of a function that has not run yet be the value of a parameter? As args_check(). */
int args_check_result(const char *what, int i, const mray_type *param, const mray_function *maker);
/* Does an object of this type serve as the value of a parameter? */
bool args_object_fits(const mray_type *param, const mray_type *object, int ndim, uint64_t bytes);

#endif
