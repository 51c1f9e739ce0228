/* net_mpi_error.c: see net_mpi_error.h. */
#include "net_mpi_error.h"

#include "error.h"
#include "log.h"

int net_mpi_error(int rc, const char *call)
{
    if (rc == MPI_SUCCESS) return MRAY_OK;
    char text[MPI_MAX_ERROR_STRING];
    int len = 0;
    if (MPI_Error_string(rc, text, &len) != MPI_SUCCESS) len = 0;
    text[len] = '\0';
    return base_error(MRAY_ERR_MPI, "%s failed: %s", call, len > 0 ? text : "unknown error");
}

int net_mpi_testsome(int n, MPI_Request *requests, int *indices, MPI_Status *statuses)
{
    int n_done = 0;
    int rc = MPI_Testsome(n, requests, &n_done, indices, statuses);
    if (n_done == MPI_UNDEFINED) return 0;
    if (rc == MPI_SUCCESS) {
        for (int i = 0; i < n_done; i++) statuses[i].MPI_ERROR = MPI_SUCCESS; /* MPI leaves it unset then */
        return n_done;
    }
    if (rc == MPI_ERR_IN_STATUS) return n_done;
    net_mpi_error(rc, "MPI_Testsome");
    log_error("net: %s", mray_error_message());
    return 0;
}

bool net_mpi_test(MPI_Request *request, MPI_Status *status)
{
    int done = 0;
    int rc = MPI_Test(request, &done, status);
    if (rc != MPI_SUCCESS && *request != MPI_REQUEST_NULL) { /* the call as a whole */
        net_mpi_error(rc, "MPI_Test");
        log_error("net: %s", mray_error_message());
        return false;
    }
    if (done || rc != MPI_SUCCESS) status->MPI_ERROR = rc;
    return done || rc != MPI_SUCCESS;
}
