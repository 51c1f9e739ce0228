/* mray/mray.h: everything. */
#ifndef MRAY_MRAY_H
#define MRAY_MRAY_H

#include <mray/init.h>
#include <mray/kv.h>
#include <mray/object.h>
#include <mray/ref.h>
#include <mray/status.h>
#include <mray/task.h>
#include <mray/types.h>
#include <mray/actor.h>

#endif
