"""The application and its routes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, WebSocket
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.exceptions import HTTPException

from asr_core.api import bazarr, native, schema, transcription
from asr_core.api.backend import Backend
from asr_core.api.problems import handle
from asr_core.api.realtime import socket
from asr_core.api.realtime.client_secrets import ClientSecrets, small_json
from asr_core.api.tasks import Submission, Tasks, description
from asr_core.errors import AsrError, Busy, NotFound, StorageFull
from asr_core.web import page_routes


def create_app() -> FastAPI:
    """The HTTP API. The process that serves sets `state.backend` and `.tasks` before the first request."""
    app = FastAPI(
        title="GigaAM ASR server",
        description=schema.DESCRIPTION,
        openapi_url="/docs.json",
        docs_url=None,  # its pages load their scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    for kind in (AsrError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)
    app.state.client_secrets = ClientSecrets()
    for router in (
        openai_routes,
        live_routes,
        azure_routes,
        native_routes,
        bazarr_routes,
        system_routes,
        page_routes(),
    ):
        app.include_router(router)
    return app


def _backend(request: Request) -> Backend:
    backend: Backend = request.app.state.backend
    return backend


def _check_key(request: Request) -> None:
    """Asked before any of the body is read. Azure's clients have a header of their own for the key."""
    azure = request.headers.get("api-key")
    authorization = request.headers.get("authorization") or (azure and f"Bearer {azure}")
    _backend(request).keys.check(authorization)


def _check_key_in_url(request: Request) -> None:
    """The same, for clients that know nothing but a URL."""
    _backend(request).keys.check(bazarr.as_bearer(request.headers.get("authorization")))


def _tasks(request: Request) -> Tasks:
    tasks: Tasks = request.app.state.tasks
    return tasks


Server = Annotated[Backend, Depends(_backend)]
ServerTasks = Annotated[Tasks, Depends(_tasks)]
Answer = dict[str, Any]

openai_routes = APIRouter(prefix="/v1", dependencies=[Depends(_check_key)], responses=schema.ERRORS)
live_routes = APIRouter(prefix="/v1/realtime")
azure_routes = APIRouter(dependencies=[Depends(_check_key)], responses=schema.ERRORS)
native_routes = APIRouter(dependencies=[Depends(_check_key)], responses=schema.ERRORS)
bazarr_routes = APIRouter(dependencies=[Depends(_check_key_in_url)], responses=schema.ERRORS)
system_routes = APIRouter(tags=["system"])


@openai_routes.post("/audio/transcriptions", response_class=Response, openapi_extra=schema.TRANSCRIPTION)
async def create_transcription(server: Server) -> Response:
    return transcription.answer(server)


@azure_routes.post(
    "/openai/deployments/{deployment}/audio/transcriptions", response_class=Response, openapi_extra=schema.TRANSCRIPTION
)
async def create_transcription_as_azure(server: Server, deployment: str) -> Response:
    """OpenAI's, under the path where Azure has it: a deployment is called as a model is here."""
    return transcription.answer(server, model=deployment)


@openai_routes.post("/audio/translations", include_in_schema=False)
async def create_translation() -> Answer:
    raise NotFound("This server transcribes, it does not translate. Use POST /v1/audio/transcriptions.")


@live_routes.websocket("")
async def transcribe_live(websocket: WebSocket) -> None:
    await socket.serve(websocket, websocket.app.state.backend, websocket.app.state.client_secrets)


@openai_routes.post("/realtime/client_secrets", openapi_extra=schema.CLIENT_SECRET)
async def create_client_secret(server: Server, request: Request) -> Answer:
    """A key for one browser, good for ten minutes unless the request says otherwise, and its session's options."""
    issued: ClientSecrets = request.app.state.client_secrets
    return issued.issue(await small_json(request), server.settings)


@openai_routes.get("/models")
async def list_models(server: Server) -> Answer:
    return {"object": "list", "data": [_model(name, server) for name in server.settings.served_models]}


@openai_routes.get("/models/{name:path}")
async def retrieve_model(name: str, server: Server) -> Answer:
    if not server.settings.accepts_model(name):
        raise NotFound("This server has no such model. GET /v1/models lists what it answers to.")
    return _model(name, server)


def _model(name: str, server: Backend) -> Answer:
    loaded = server.engine.has_in_memory(name)
    return {"id": name, "object": "model", "created": server.started_at, "owned_by": "gigaam", "loaded": loaded}


@native_routes.post("/transcribe", response_class=Response, openapi_extra=schema.NATIVE)
async def transcribe(server: Server) -> Response:
    return native.answer(server)


@native_routes.post("/transcribe_stream", response_class=Response, openapi_extra=schema.NATIVE_STREAM)
async def transcribe_stream(server: Server) -> Response:
    return native.stream_answer(server)


@native_routes.post("/transcribe_task", response_class=Response, openapi_extra=schema.NATIVE)
async def transcribe_task(server: Server) -> Response:
    return native.answer(server)


@native_routes.post("/transcribe_task/submit", response_class=JSONResponse, openapi_extra=schema.SUBMISSION)
async def submit_task(server: Server, tasks: ServerTasks) -> Response:
    return Submission(server, tasks)


@native_routes.get("/transcribe_task/status")
async def task_status(tasks: ServerTasks, task_id: str = "") -> Answer:
    return description(await tasks.find(task_id), tasks.progress(task_id))


@native_routes.get("/transcribe_task/get", response_class=JSONResponse)
async def task_result(tasks: ServerTasks, task_id: str = "") -> Response:
    return await tasks.answer(task_id)


@native_routes.put("/transcribe_task/cancel")
async def cancel_task(tasks: ServerTasks, task_id: str = "") -> Answer:
    return description(await tasks.cancel(task_id), None)


@native_routes.post("/transcribe_task/retry", include_in_schema=False)
async def retry_task() -> Answer:
    raise NotFound("Recordings are not kept: submit it again.")


@bazarr_routes.post("/asr", response_class=Response, openapi_extra=schema.BAZARR)
async def transcribe_for_bazarr(server: Server, request: Request) -> Response:
    return bazarr.transcription(server, request.query_params)


@bazarr_routes.post("/detect-language", response_class=JSONResponse, openapi_extra=schema.DETECTION)
async def detect_language(server: Server, request: Request) -> Response:
    return bazarr.detection(server, request.query_params)


@system_routes.get("/health")
async def health(server: Server) -> Answer:
    """Always 200: what the server is, and whether it can work yet."""
    status = server.engine.status
    return {
        "status": "ok" if status.ready else "loading",
        "model": status.model,
        **_several(server),
        "device": status.device,
        "precision": status.precision,
        "precision_reason": status.precision_reason,
        "kernels": status.kernels,
        "loaded": status.loaded,
        "max_queue": server.settings.max_queue,
    }


def _several(server: Backend) -> Answer:
    """Which models there are, where there are several, and which of them are in memory."""
    names = server.settings.model_names
    if len(names) == 1:
        return {}
    return {"models": list(names), "loaded_models": [name for name in names if server.engine.has_in_memory(name)]}


@system_routes.get("/readyz", responses={503: {"description": "Not yet, and why"}})
async def readiness(server: Server) -> JSONResponse:
    """200 where recordings are taken: the models have been loaded, and uploads have their folder; else 503, and why."""
    try:
        server.check_ready()
    except (Busy, StorageFull) as exc:
        status = server.engine.status
        state = {"status": "not ready" if status.ready else "loading", "detail": status.detail or str(exc)}
        return JSONResponse(state, 503, {"Retry-After": str(Busy.retry_after_s)})
    return JSONResponse({"status": "ready"})


@system_routes.get("/metrics", response_class=PlainTextResponse)
async def metrics(server: Server) -> Response:
    return Response(generate_latest(server.metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
