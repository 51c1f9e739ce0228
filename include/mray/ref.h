/* mray/ref.h: the name of an object. */
#ifndef MRAY_REF_H
#define MRAY_REF_H

#include <stdbool.h>
#include <stdint.h>

/** Name of an object, 16 bytes by value. It says by itself where to look: no directory is asked. Valid on every rank of the
 *  session that made it. Each ref that a call returns holds its object until mray_release(). */
typedef struct mray_ref {
    uint32_t rank;  /**< owner: the rank whose segment has the object's slot. In a nil ref: the library's */
    uint32_t slot;  /**< index in that rank's slot table; 0 in a nil ref */
    uint32_t gen;   /**< generation of the slot: a released ref is recognised. In a nil ref: the status of the failed call */
    uint32_t epoch; /**< session: a ref from an earlier session is recognised */
} mray_ref;

/** Name of an actor, 16 bytes by value; may be passed to tasks and other actors. */
typedef struct mray_actor {
    uint32_t rank;  /**< rank that hosts the actor */
    uint32_t id;    /**< its number on that rank; 0 in a nil handle */
    uint32_t maker; /**< the library's */
    uint32_t epoch; /**< session */
} mray_actor;

/** True for the handle of a call that failed. */
static inline bool mray_actor_is_nil(mray_actor actor)
{
    return actor.id == 0;
}

/** True for the ref of a call that failed: it names nothing, and mray_get() on it returns the call's status. */
static inline bool mray_ref_is_nil(mray_ref ref)
{
    return ref.slot == 0;
}

#endif
