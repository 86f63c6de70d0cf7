"use strict";
// One canvas in which an asset can be turned. Draws when something has changed, and only then.
const FIELD_OF_VIEW_DEG = 32, TURN_PER_PX = 0.008, TURN_PER_KEY = Math.PI / 18, STEEPEST = 1.5, MARGIN = 1.06;
const START = { azimuth: 0.5, elevation: 0.3, zoom: 1 };

// Largest distance of a vertex from a point; the sphere around a box would leave much of the window empty.
function farthest(scene, middle) {
  const point = new THREE.Vector3();
  let most = 0;
  scene.traverse((part) => {
    const positions = part.isMesh ? part.geometry.attributes.position : { count: 0 };
    for (let i = 0; i < positions.count; i++) most = Math.max(most, point.fromBufferAttribute(positions, i).applyMatrix4(part.matrixWorld).distanceTo(middle));
  });
  return most;
}

class Orbit {
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.outputEncoding = THREE.sRGBEncoding;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.camera = new THREE.PerspectiveCamera(FIELD_OF_VIEW_DEG, 1, 0.01, 100);
    this.scene = new THREE.Scene();
    this.light = new THREE.DirectionalLight(0xffffff, 0.65);
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0x8a8a8a, 0.45), this.light);
    this.asset = null;
    this.listen();
  }

  // Resolves with the number of triangles drawn. The asset is brought to a sphere of radius one around the origin.
  show(buffer) {
    this.clear();
    const wanted = this.wanted;
    return new Promise((resolve, reject) => new THREE.GLTFLoader().parse(buffer, "", resolve, reject)).then((gltf) => {
      if (wanted !== this.wanted) return 0;
      const middle = new THREE.Box3().setFromObject(gltf.scene).getCenter(new THREE.Vector3());
      const scale = 1 / Math.max(farthest(gltf.scene, middle), 1e-9);
      this.asset = new THREE.Group();
      gltf.scene.position.sub(middle);
      this.asset.add(gltf.scene);
      this.asset.scale.setScalar(scale);
      this.scene.add(this.asset);
      this.at = { ...START };
      this.draw();
      return this.renderer.info.render.triangles;
    });
  }

  clear() {
    this.wanted = {};
    if (!this.asset) return;
    this.scene.remove(this.asset);
    this.asset.traverse((part) => {
      if (!part.isMesh) return;
      part.geometry.dispose();
      if (part.material.map) part.material.map.dispose();
      part.material.dispose();
    });
    this.asset = null;
    this.renderer.clear();
  }

  draw() {
    if (!this.asset) return;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    const half = (FIELD_OF_VIEW_DEG * Math.PI) / 360;
    const distance = (MARGIN * this.at.zoom) / Math.sin(Math.min(half, Math.atan(Math.tan(half) * this.camera.aspect)));
    const { azimuth, elevation } = this.at;
    const level = Math.cos(elevation);
    this.camera.position.set(Math.sin(azimuth) * level, Math.sin(elevation), Math.cos(azimuth) * level).multiplyScalar(distance);
    this.camera.lookAt(0, 0, 0);
    this.camera.updateProjectionMatrix();
    this.light.position.copy(this.camera.position).add(new THREE.Vector3(0, 1.5, 0));
    this.renderer.render(this.scene, this.camera);
  }

  turn(azimuth, elevation) {
    this.at.azimuth += azimuth;
    this.at.elevation = Math.max(-STEEPEST, Math.min(STEEPEST, this.at.elevation + elevation));
    this.draw();
  }

  zoom(factor) {
    this.at.zoom = Math.max(0.2, Math.min(4, this.at.zoom * factor));
    this.draw();
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
    canvas.addEventListener("pointermove", (event) => {
      if (this.asset && canvas.hasPointerCapture(event.pointerId)) this.turn(-event.movementX * TURN_PER_PX, event.movementY * TURN_PER_PX);
    });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (this.asset) this.zoom(Math.exp(event.deltaY * 0.001));
    }, { passive: false });
    const keys = {
      ArrowLeft: () => this.turn(-TURN_PER_KEY, 0), ArrowRight: () => this.turn(TURN_PER_KEY, 0),
      ArrowUp: () => this.turn(0, TURN_PER_KEY), ArrowDown: () => this.turn(0, -TURN_PER_KEY),
      "+": () => this.zoom(0.9), "=": () => this.zoom(0.9), "-": () => this.zoom(1 / 0.9),
      Home: () => { this.at = { ...START }; this.draw(); },
    };
    canvas.addEventListener("keydown", (event) => {
      if (!this.asset || !keys[event.key]) return;
      event.preventDefault();
      keys[event.key]();
    });
    new ResizeObserver(() => this.draw()).observe(canvas);
  }
}
